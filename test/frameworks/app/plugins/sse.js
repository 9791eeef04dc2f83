export { default } from 'fastify-sse-routes'

/** The plugin's options, which autoload joins with those of all. */
export const autoConfig = { retry: 1_234, drain: { spread: 0 } }
