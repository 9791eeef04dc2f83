import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Test } from 'tap'
import { open, until } from '../helpers/app.js'
import { freePort } from '../helpers/free-port.js'
import { isListening } from '../helpers/is-listening.js'
import type { Program } from './runtimes.js'

/** Runs worker.js in workerd, the runtime of Cloudflare Workers, with `server` as the url of its streams. */
export async function runWorker (t: Test, workerd: string, server: string): Promise<Program> {
  const { outputFiles: [worker] } = await build({ entryPoints: [fileURLToPath(new URL('worker.js', import.meta.url))], bundle: true, write: false, format: 'esm', logLevel: 'error' })
  const port = await freePort()
  const folder = t.testdir({
    'worker.js': worker?.text ?? '',
    'config.capnp': `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "worker", esModule = embed "worker.js")],
      compatibilityDate = "2026-11-01",
      bindings = [(name = "SERVER", text = "${server}")],
      globalOutbound = "net"
    )),
    (name = "net", network = (allow = ["local"]))
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")]
);
`
  })
  const child = spawn(workerd, ['serve', `${folder}/config.capnp`], { stdio: ['ignore', 'ignore', 'inherit'] })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  await until('workerd to listen', () => isListening(port), 30_000)
  const client = await open(t, port, '/')
  return {
    get text () { return client.text },
    // a worker has no exit code: its response ends with the loop
    ended: client.finished().then((ended) => [ended ? 0 : 1, null])
  }
}
