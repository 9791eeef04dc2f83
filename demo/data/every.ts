import type { FastifyInstance } from 'fastify'

/** Calls `act` every `interval` ms from when the app is ready until it closes, with 1, 2, 3 and so on. Logs a warning if `act` fails. */
export function every (interval: number, app: FastifyInstance, act: (n: number) => Promise<unknown>): void {
  let n = 0
  let timer: NodeJS.Timeout | undefined
  app.addHook('onReady', async () => {
    timer = setInterval(() => {
      act(++n).catch((error: Error) => app.log.warn(error.message))
    }, interval)
  })
  app.addHook('preClose', async () => clearInterval(timer))
}
