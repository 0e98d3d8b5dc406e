"""Celery workers: they join the DICOM side (``node``) and the science (``ftmtl``). Research use only."""
