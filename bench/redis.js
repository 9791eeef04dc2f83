import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './port.js'

const REDIS = 'redis-server'
const { stdout, error } = spawnSync(REDIS, ['--version'], { encoding: 'utf8' })

/** Version of the installed Redis, or the name of the missing program. */
export const version = error === undefined ? `redis ${stdout.match(/v=([\d.]+)/)[1]}` : null
export const missing = error === undefined ? null : REDIS

/** Starts a Redis with its default append-only file; resolves to its URL. It ends with this process. */
export async function startRedis () {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'redis-'))
  const redis = spawn(REDIS, ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'yes'], { stdio: ['ignore', 'pipe', 'inherit'] })
  process.once('exit', () => {
    redis.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })
  for await (const text of redis.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) if (text.includes('Ready to accept')) break
  redis.stdout.resume()
  // does not keep this process running
  redis.unref()
  redis.stdout.unref()
  return `redis://127.0.0.1:${port}`
}
