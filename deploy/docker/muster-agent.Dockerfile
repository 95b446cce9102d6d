# syntax=docker/dockerfile:1
# The node agent. In the root of the repository:
#   docker build -f deploy/docker/muster-agent.Dockerfile --build-arg VERSION=0.1.0 -t ghcr.io/muster-dev/muster-agent:0.1.0 .

# glibc and linked dynamically: a static binary cannot load the driver's libnvidia-ml.so.1, which the container
# runtime mounts. The same Debian release as the last stage, so that the C library is not newer than the one there.
FROM rust:1.95.0-bookworm AS build
# The image has this toolchain; rust-toolchain.toml would fetch clippy and rustfmt too.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /muster
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/muster/target,id=muster-agent-target,sharing=locked \
    cargo build --release --locked -p muster-agent --bin muster-agent \
    && cp target/release/muster-agent /usr/local/bin/muster-agent

FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=unknown
LABEL org.opencontainers.image.title="muster-agent" \
      org.opencontainers.image.description="Reports the GPUs of one node to Muster" \
      org.opencontainers.image.source="https://github.com/muster-dev/muster" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /usr/local/bin/muster-agent /usr/local/bin/muster-agent
COPY LICENSE /LICENSE
USER 65532:65532
EXPOSE 9402
ENTRYPOINT ["/usr/local/bin/muster-agent"]
