"""Runs of the export workflow with faults drawn at random: what holds after all of them?"""
