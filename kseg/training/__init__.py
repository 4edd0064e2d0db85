"""kseg.training"""
