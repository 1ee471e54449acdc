# pipemirror in one small image; the command says which role it plays: `receiver`, `worker`, `migrate`, ...
# Exactly the locked packages, each checked against its hash, all as wheels: no compiler in either stage.

ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv /opt/pipemirror
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN pip install --require-hashes --only-binary :all: -r requirements/build.txt \
 && /opt/pipemirror/bin/pip install --require-hashes --only-binary :all: -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY schema schema
COPY runtime runtime
COPY store store
COPY receiver receiver
COPY worker worker
COPY sandbox sandbox
COPY cli cli
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && /opt/pipemirror/bin/pip install --no-deps dist/*.whl \
 && /opt/pipemirror/bin/pip uninstall --yes pip

FROM python:${PYTHON}-slim
# A fixed number, so that a volume keeps its owner over rebuilds. /data is all that is ever written to.
RUN groupadd --gid 10001 pipemirror \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin pipemirror \
 && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /opt/pipemirror /opt/pipemirror
# USER is for those who run it as another uid: without a name, the record of a migration cannot be written.
ENV PATH=/opt/pipemirror/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATA_DIR=/data USER=pipemirror
WORKDIR /data
USER 10001:10001
# Exec form: SIGTERM reaches the process itself, which then stops in order.
ENTRYPOINT ["pipemirror"]
CMD ["--help"]
