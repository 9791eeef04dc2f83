import { Child } from './child.js'

/**
 * @typedef {object} Contender a candidate in one of its ways to do a work
 * @property {string} name as the table has it
 * @property {string} candidate the module in candidates/
 * @property {string} path its route
 * @property {string} [build] for ours: the build to take, a file URL
 */

/** A server process for each contender, all open at the same time, of which only the one that is measured runs. */
export class Arena {
  #load
  #servers = new Map()

  constructor (load) {
    this.#load = load
  }

  /** @param {Contender[]} contenders @param {number} clients streams to open on each and to keep */
  static async open (load, contenders, clients = 0) {
    const arena = new Arena(load)
    for (const contender of contenders) await arena.#start(contender, clients)
    return arena
  }

  async #start ({ name, candidate, path, build }, clients) {
    const server = new Child('server.js', [candidate, build])
    const port = await server.ask('port')
    if (clients > 0) await this.#load.ask('open', { name, port, path, count: clients })
    server.pause()
    this.#servers.set(name, { server, port, clients })
  }

  /**
   * Lets a contender work while all others stand still.
   * @param work does it; gets the server process, its port, and a function that begins the measuring
   * @returns what `work` gives
   */
  async run ({ name }, work) {
    const { server, port } = this.#servers.get(name)
    server.resume()
    const result = await work(server, port)
    server.pause()
    return result
  }

  async close () {
    for (const [name, { server, clients }] of this.#servers) {
      if (clients > 0) await this.#load.ask('close', name)
      server.stop()
    }
  }
}
