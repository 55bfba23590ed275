from .settings import ProfileJob
def profile_store(job: ProfileJob): raise NotImplementedError
