"""What can go wrong between our SQL and the Flink cluster.

    JobsError
    ├── JobsTransientError       the same call may succeed later
    │   ├── ClusterUnavailableError   Flink's REST API does not answer
    │   └── NotReadyError             a job did not come up in the time that was given
    └── JobsTerminalError        a person or a fix is needed
        ├── JobsSettingsError         SETTLE_JOBS_* or application_properties.json contradict each other
        ├── JobFileError              jobs.yaml, rules.yaml or an .sql file is not what it should be
        ├── UnknownJobError           no such job in jobs.yaml
        ├── LaunchRefusedError        Flink refused the SQL or the submission; says what Flink said
        ├── JobFailedError            the job ended by itself; names the cause Flink gives
        └── StateUnreadableError      checkpoints cannot be listed: the store refuses us

The command line shows these as one sentence; nothing in this room catches `JobsError` and goes on.
"""

from __future__ import annotations


class JobsError(Exception):
    """Anything this room can say no with."""


class JobsTransientError(JobsError):
    """Raised when waiting may help; the caller decides how long."""


class ClusterUnavailableError(JobsTransientError):
    """Raised by `rest` when the JobManager does not answer; `deploy` waits through a short absence."""


class NotReadyError(JobsTransientError):
    """Raised by `deploy` when a job is not running, or has no checkpoint, at the deadline."""


class JobsTerminalError(JobsError):
    """Raised when trying again cannot help."""


class JobsSettingsError(JobsTerminalError):
    """Raised at start-up; names the variable or the property, never a secret's value."""


class JobFileError(JobsTerminalError):
    """Raised while a job is put together, before anything is submitted; names the file."""


class UnknownJobError(JobsTerminalError):
    """Raised when a job is asked for by a name that jobs.yaml does not have."""


class LaunchRefusedError(JobsTerminalError):
    """Raised by `deploy` when the launcher ends without having submitted everything."""


class JobFailedError(JobsTerminalError):
    """Raised by `deploy` when a job it waits for has failed; carries Flink's own reason."""


class StateUnreadableError(JobsTerminalError):
    """Raised by `state` when the checkpoint store cannot be listed."""
