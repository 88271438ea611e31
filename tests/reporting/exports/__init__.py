"""Tests of reporting/exports."""
