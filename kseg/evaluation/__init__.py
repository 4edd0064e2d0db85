"""kseg.evaluation"""
