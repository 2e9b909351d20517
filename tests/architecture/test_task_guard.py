"""Every background task goes through the job table, which opens its tenant's scope."""

from celery import current_app

from calqsync.jobs import services


def test_every_task_of_ours_is_a_registered_kind_of_job():
    current_app.loader.import_default_modules()
    ours = {
        name
        for name in current_app.tasks
        if name.startswith(("integrations.", "reporting.", "billing.", "calqsync.", "privacy."))
    }
    assert len(ours) >= 2, "the scan found hardly any task, so it guards nothing"
    assert ours == {kind for kind in services.kinds() if not kind.startswith("tests.")}


def test_every_kind_names_a_queue_that_the_worker_listens_to():
    assert set(services.kinds().values()) <= {"control", "interactive", "sync", "report", "mail"}
