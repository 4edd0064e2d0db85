"""kseg.metrics"""
