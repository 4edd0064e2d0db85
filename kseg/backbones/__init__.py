"""kseg.backbones"""
