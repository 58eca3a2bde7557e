# The Python package: the exporter, the alert log and the demo are its commands.
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE}

# The folders of the store exist with owners and modes (docs/store.md), so that a new volume gets them; the ids are those of
# compose.yaml.
RUN groupadd --gid 10464 hypertool \
    && useradd --uid 10464 --gid 10464 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin hypertool \
    && install --directory --owner=root --group=hypertool --mode=2750 /var/lib/hypertool \
    && install --directory --owner=hypertool --group=hypertool --mode=3770 \
        /var/lib/hypertool/live /var/lib/hypertool/requests \
    && install --directory --owner=hypertool --group=hypertool --mode=2750 /var/lib/hypertool/shared \
    && install --directory --owner=hypertool --group=hypertool --mode=0700 /var/lib/hypertool/service

COPY requirements/runtime.txt /tmp/runtime.txt
RUN pip install --no-cache-dir --require-hashes -r /tmp/runtime.txt && rm /tmp/runtime.txt
COPY instrumentation/hypertool /opt/hypertool/hypertool
COPY --chmod=0755 compose/hypertool /usr/local/bin/hypertool
ENV PYTHONPATH=/opt/hypertool PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

USER 10464:10464
CMD ["hypertool", "exporter"]
