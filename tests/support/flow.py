"""Studies on their way through a node that a test drives step by step."""

from node.domain import Analysed, JobState
from support.records import STUDY, instance, results

S = JobState
LEASE_S = 30.0
PACS = {"name": "archive", "ae_title": "PACS", "host": "127.0.0.1", "port": 104}


def four_views(ledger, study=STUDY):
    for n, (side, view) in enumerate([("L", "CC"), ("R", "CC"), ("L", "MLO"), ("R", "MLO")]):
        ledger.arrivals.register(instance(n, study=study, laterality=side, view=view))
    return next(job.job_id for job in ledger.jobs.find() if job.study_uid == study)


def queued(node, study=STUDY):
    job_id = four_views(node.ledger, study)
    node.assemble()
    return job_id


def delivering(node, clock):
    job_id = queued(node)
    attempt = node.ledger.jobs.claim(job_id, S.ANALYSING, LEASE_S)
    node.ledger.deliveries.begin(job_id, attempt, Analysed(results(), 1.0))
    node.dispatcher.waiting.clear()
    clock.now += 60
    return job_id
