"""The DICOM side of ftmtl-node: it receives studies, queues them and sends results back. Research use only."""
