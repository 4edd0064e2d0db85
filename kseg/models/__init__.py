"""kseg.models"""
