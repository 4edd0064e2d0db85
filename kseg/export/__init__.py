"""kseg.export"""
