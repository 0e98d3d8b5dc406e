"""The DICOM side of ftmtl-node: receives studies, queues them, sends results back. Research use only."""
