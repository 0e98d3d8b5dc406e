"""Files and pixels from anywhere: damaged and hostile ones cost a sentence, never the process that reads them.

Only the standard library, numpy and pydicom are imported; foreign decoders run in a process of their own.
"""
