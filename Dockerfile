# The server as it runs in production: Node.js 24, the sources as they are, the production dependencies, and a user
# without write access. No file outlives the container, so DATABASE_URL and MASTER_KEY (or …_FILE) are required: without
# them the server has no folder for a database or a key, and stops.
#
# The command line is in the image:  docker exec CONTAINER npm run -s cli -- account list
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
    MALLOC_ARENA_MAX=2 \
    NODE_COMPILE_CACHE=/var/cache/vouchsafe \
    NPM_CONFIG_CACHE=/tmp/npm \
    NPM_CONFIG_UPDATE_NOTIFIER=false
RUN install -d -o node -g node -m 0700 /var/cache/vouchsafe
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY migrations ./migrations
COPY views ./views
COPY resource-server/authorization-header.ts ./resource-server/
COPY bin/healthcheck.mjs bin/node24 bin/require-node-24.mjs ./bin/
COPY src ./src
USER node
# Loads everything once: a dependency that is missing fails here, and each start finds its code compiled.
RUN node --input-type=module --eval "await import('/app/src/server.ts'); process.exit()" \
  && npm run -s cli -- --version
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["node", "bin/healthcheck.mjs"]
CMD ["node", "--max-semi-space-size=32", "src/main.ts"]
