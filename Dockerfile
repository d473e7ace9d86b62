# The operator's image, for every platform that the two base images have:
#
#   docker buildx build --platform linux/amd64,linux/arm64 --tag registry.example.org/mainstay:0.1.0 --push .
#
# Each platform builds itself, under emulation where needed: slower than a cross compiler, and nothing to keep in step.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
ARG TARGETARCH
# One target folder per platform; the binary is copied out because a cache mount is not part of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,id=target-$TARGETARCH \
    cargo build --locked --release --bin mainstay && cp target/release/mainstay /mainstay

# glibc of the same Debian release as the builder, CA certificates, no shell.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY LICENSE /LICENSE
COPY --from=build /mainstay /usr/local/bin/mainstay
# By number: the kubelet cannot tell from a name that it is not root.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/mainstay"]
CMD ["run"]
