import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

/** A child process that answers one request at a time. */
export class Child<Question extends string> {
  /** Reason of its end; null while it runs. */
  over: string | null = null
  readonly #file: string
  readonly #process: ChildProcess

  constructor (file: string, args: string[], options: string[] = []) {
    this.#file = file
    this.#process = fork(fileURLToPath(new URL(file, import.meta.url)), args, { execArgv: ['--import=./test/typescript.mjs', ...options] })
    this.#process.once('exit', (code, signal) => { this.over = `${file} ended with ${signal ?? code}` })
  }

  /** Resolves to its next message, within a minute. */
  async says<Answer> (): Promise<Answer> {
    const over = new AbortController()
    const ended = Promise.race([
      once(this.#process, 'exit', { signal: over.signal }).then(() => { throw new Error(String(this.over)) }),
      wait(60_000, null, { signal: over.signal }).then(() => { throw new Error(`${this.#file} says nothing`) })
    ])
    try {
      const [answer] = await Promise.race([once(this.#process, 'message', { signal: over.signal }), ended])
      return answer as Answer
    } finally {
      over.abort()
      ended.catch(() => {})
    }
  }

  ask<Answer> (question: Question): Promise<Answer> {
    const answer = this.says<Answer>()
    this.#process.send(question)
    return answer
  }

  /** Sends a message without an answer. */
  tell (order: Question): void {
    this.#process.send(order)
  }

  async kill (): Promise<void> {
    if (this.over !== null) return
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await ended
  }
}
