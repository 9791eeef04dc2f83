import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { freePort } from './free-port.js'
import { until } from './until.js'

/** An nginx with one worker in front of an app, ended with the test. */
export interface Nginx {
  port: number
  /** Reloads the configuration: starts a new worker, while the old one keeps its connections. */
  reload (): Promise<void>
  /** Kills the worker at once (SIGKILL); the master starts another one. */
  killWorker (): Promise<void>
  /** Ends nginx at once, with its workers (SIGTERM). */
  stop (): Promise<void>
}

/** @param location directives of its only location, besides `proxy_pass` */
export async function startNginx (t: Test, appPort: number, location: string): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), 'nginx-'))
  const port = await freePort()
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')
  // the worker runs as the user of the test, so that it can access the folder
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  await writeFile(join(folder, 'nginx.conf'), `daemon off; worker_processes 1; ${user} pid ${folder}/pid; error_log stderr;
events {}
http {
  access_log off; ${temporary}
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://127.0.0.1:${appPort}; ${location} }
  }
}`)
  const child = spawn('nginx', ['-p', folder, '-e', 'stderr', '-c', 'nginx.conf'], { env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` }, stdio: ['ignore', 'ignore', 'pipe'] })
  const over = once(child, 'exit')
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => { errors += text })
  const stop = async () => {
    child.kill('SIGTERM')
    await over
  }
  t.teardown(async () => {
    await stop()
    await rm(folder, { recursive: true, force: true })
  })

  const workers = async () => (await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')).split(' ').filter(Boolean).map(Number)
  const aNewWorker = async (former: readonly number[]) => {
    await until('nginx to have a new worker', async () => {
      if (child.exitCode !== null) throw new Error(`nginx ended: ${errors}`)
      return (await workers()).some((pid) => !former.includes(pid))
    })
  }
  await aNewWorker([])
  return {
    port,
    stop,
    async reload () {
      const former = await workers()
      child.kill('SIGHUP')
      await aNewWorker(former)
    },
    async killWorker () {
      const former = await workers()
      for (const pid of former) process.kill(pid, 'SIGKILL')
      await aNewWorker(former)
    }
  }
}
