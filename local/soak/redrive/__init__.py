"""Runs of the redrive workflow with faults drawn at random: where is every message after all of them?"""
