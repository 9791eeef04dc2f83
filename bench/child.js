import { fork } from 'node:child_process'

const HERE = import.meta.dirname

const children = new Set()
// a stopped process does not notice the end of its parent
process.on('exit', () => { for (const child of children) child.stop() })
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

/** A child process of a bench with its own process group. Answers calls, and ends with its parent. */
export class Child {
  #process
  #asked = new Map()
  #last = 0

  /**
   * @param {string} script file in this folder
   * @param {string[]} args
   * @param {string[]} execArgv options of node
   */
  constructor (script, args = [], execArgv = []) {
    this.#process = fork(`${HERE}/${script}`, args, { execArgv, detached: true })
    children.add(this)
    this.#process.on('message', ({ id, error, result }) => {
      const { resolve, reject } = this.#asked.get(id)
      this.#asked.delete(id)
      if (error === undefined) resolve(result)
      else reject(new Error(`${script} ${args.join(' ')}: ${error}`))
    })
    this.#process.on('exit', (code, signal) => {
      children.delete(this)
      for (const { reject } of this.#asked.values()) reject(new Error(`${script} ${args.join(' ')} ended: ${code ?? signal}`))
    })
  }

  /** Calls the child's function `what` with an argument. Resolves to its result. */
  ask (what, argument) {
    const id = ++this.#last
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject })
      this.#process.send({ id, what, argument })
    })
  }

  /** Stops the process (SIGSTOP), so that it takes no time from the measured one. */
  pause () {
    this.#signal('SIGSTOP')
  }

  resume () {
    this.#signal('SIGCONT')
  }

  stop () {
    children.delete(this)
    this.#process.removeAllListeners('exit')
    this.#signal('SIGKILL')
  }

  /** Sends a signal to its process group, which contains the processes it started. */
  #signal (signal) {
    process.kill(-this.#process.pid, signal)
  }
}

/** In the child: answers calls with these functions. */
export function answer (functions) {
  process.on('message', async ({ id, what, argument }) => {
    try {
      process.send({ id, result: await functions[what](argument) })
    } catch (error) {
      process.send({ id, error: error.stack })
    }
  })
  process.on('disconnect', () => process.exit())
}
