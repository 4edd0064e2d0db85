"""kseg.data"""
