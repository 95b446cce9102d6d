# syntax=docker/dockerfile:1
# Muster, with its dashboard inside. In the root of the repository:
#   docker build -f deploy/docker/muster.Dockerfile --build-arg VERSION=0.1.0 -t ghcr.io/muster-dev/muster:0.1.0 .

FROM --platform=$BUILDPLATFORM node:22.12.0-bookworm-slim AS dashboard
WORKDIR /dashboard
COPY dashboard/package.json dashboard/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund
COPY dashboard ./
RUN npm run build

# The same Debian release as the last stage, so that the C library is the same.
FROM rust:1.95.0-bookworm AS build
# The image has this toolchain; rust-toolchain.toml would fetch clippy and rustfmt too.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /muster
COPY . .
COPY --from=dashboard /dashboard/dist dashboard/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/muster/target,id=muster-target,sharing=locked \
    cargo build --release --locked -p muster --bin muster \
    && cp target/release/muster /usr/local/bin/muster

FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=unknown
LABEL org.opencontainers.image.title="muster" \
      org.opencontainers.image.description="GPU-aware gang scheduling for the stock kube-scheduler" \
      org.opencontainers.image.source="https://github.com/muster-dev/muster" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /usr/local/bin/muster /usr/local/bin/muster
COPY LICENSE /LICENSE
USER 65532:65532
EXPOSE 7070
ENTRYPOINT ["/usr/local/bin/muster"]
CMD ["serve"]
