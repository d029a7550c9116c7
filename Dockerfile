# The server as it runs in production: Node.js 24, the sources as they are, the dependencies that serve, and a user who
# may write nothing. No file here outlives the container, so DATABASE_URL and MASTER_KEY (or …_FILE) must be given:
# without them the server finds no folder where it may keep a database or a key, and stops.
ARG NODE_IMAGE=node:24.21.0-bookworm-slim

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The optional ones are Node.js and PostgreSQL for machines that lack them.
RUN npm ci --omit=dev --omit=optional

FROM ${NODE_IMAGE}
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    PORT=3000 \
    UV_THREADPOOL_SIZE=8 \
    NODE_COMPILE_CACHE=/var/cache/vouchsafe
RUN install -d -o node -g node -m 0700 /var/cache/vouchsafe
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY migrations ./migrations
COPY views ./views
COPY resource-server/authorization-header.ts ./resource-server/
COPY src ./src
USER node
# Loads everything once: a dependency that is missing fails here, and each start finds its code compiled.
RUN node --input-type=module --eval "await import('/app/src/server.ts'); process.exit()"
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["node", "--eval", \
  "fetch('http://127.0.0.1:' + process.env.PORT + '/livez').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "src/main.ts"]
