"""kseg.losses"""
