import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'

/** The path of a run that `serveRuns` starts: its key, the number of its items, the pause after each batch of items, and the least length of an item. */
export function runPath (key: string, { count = 10, pause = 0, batch = 1, size = 0 } = {}): string {
  return `/runs/${key}?count=${count}&pause=${pause}&batch=${batch}&size=${size}`
}

type Query = Record<'count' | 'pause' | 'batch' | 'size', string>

/** Declares `POST /runs/:key`, which starts a run with the items `0`, `1`, … or joins it, and `GET /runs/:key`, which resumes it. */
export function serveRuns (app: FastifyInstance): void {
  app.sseRoute<{ Params: { key: string }, Querystring: Query }>({
    method: 'POST',
    url: '/runs/:key',
    resumable: { key: ({ params }) => params.key, maxBytes: 200_000_000 },
    end: { event: 'end', data: '' },
    async * source ({ query }, { signal }) {
      const [count, pause, batch, size] = [query.count, query.pause, query.batch, query.size].map(Number) as [number, number, number, number]
      for (let i = 0; i < count && !signal.aborted; i++) {
        yield String(i).padEnd(size, '.')
        if (pause > 0 && i % batch === batch - 1) await wait(pause)
      }
    }
  })
  app.sseRoute<{ Params: { key: string } }>({ url: '/runs/:key', resume: ({ params }) => params.key })
}

/** A process that runs test/redis/run-process.ts, until the end of the test. */
export interface RunProcess {
  readonly child: ChildProcess
  readonly port: number
}

/** Starts a process with the runs of a Redis. */
export async function startRunProcess (t: Test, url: string, client = 'node-redis', nodeOptions: readonly string[] = []): Promise<RunProcess> {
  const { PATH, HOME } = process.env
  const child = fork(fileURLToPath(new URL('run-process.ts', import.meta.url)), [url, client], {
    execArgv: [...nodeOptions, '--import=./test/typescript.mjs'],
    // collects no coverage, because that takes time
    env: { PATH, HOME, _TAPJS_PROCESSINFO_COVERAGE_: '0' }
  })
  t.teardown(() => { child.kill('SIGKILL') })
  const [port] = await once(child, 'message')
  return { child, port }
}
