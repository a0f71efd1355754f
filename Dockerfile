# Stage one builds the wheel, stage two installs it with the pinned environment.
# On a GPU host, torch's own wheel brings the CUDA libraries; the host only needs its driver.
FROM python:3.11-slim-bookworm AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY fcdsynth ./fcdsynth
COPY configs ./configs
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="fcdsynth" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.description="FCD lesion synthesis, detection and mask review; not a medical device"
RUN useradd --create-home --uid 1000 reader
COPY constraints.txt /tmp/constraints.txt
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir -c /tmp/constraints.txt /wheels/*.whl && rm -r /wheels /tmp/constraints.txt
ENV OMP_WAIT_POLICY=PASSIVE MPLBACKEND=Agg HOME=/home/reader
USER reader
WORKDIR /work
ENTRYPOINT ["fcdsynth"]
CMD ["--help"]
