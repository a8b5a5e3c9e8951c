# An image for the hub of a course: docker build -t riskmap . && docker run --rm -p 8888:8888 riskmap
#
# It was written and linted, and not built: where it was written no image could be pulled. Build it once before a course.
#
# The checkout in it belongs to root, so it is shared: students read its data and runs, and what they make goes to
# ~/riskmap, which a hub keeps by mounting a volume at /home/student. With --build-arg PREPARE=teach the image brings
# cohort, runs and executed pages along; without it each student makes them.
ARG PYTHON=3.12
FROM python:${PYTHON}-slim

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends --yes git \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home --uid 1000 student

# without it, PyPI's torch brings gigabytes of CUDA to a machine that has no GPU
ENV PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu \
    PIP_NO_CACHE_DIR=1

WORKDIR /srv/riskmap
COPY . .

# asking for help makes .venv, at the versions of constraints.txt, and does nothing else
RUN python -m riskmap run --help

ARG PREPARE=""
RUN if [ -n "${PREPARE}" ]; then python -m riskmap tutorial --profile "${PREPARE}"; fi

USER 1000
EXPOSE 8888
CMD ["python", "-m", "riskmap", "lab", "--ip=0.0.0.0", "--no-browser"]
