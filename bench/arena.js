import { Child } from './child.js'

/**
 * @typedef {object} Contender a candidate in one of its ways to do a work
 * @property {string} name as in the table
 * @property {string} candidate `raw` and `ours` are compared with all others
 * @property {string} [server] the module in candidates/; default: the candidate
 * @property {string} [load] the script of its clients
 * @property {string} path path of its route
 * @property {number} [clients] number of streams to keep open
 * @property {string} [build] build of this project, a file URL
 */

/**
 * Two processes for each contender, its server and its clients: those of all together would be more
 * than one process may open. All are there at the same time, but of the servers only the one that is measured runs.
 */
export class Arena {
  #pairs = new Map()

  /** @param {Contender[]} contenders */
  static async open (contenders) {
    const arena = new Arena()
    for (const contender of contenders) await arena.#start(contender)
    return arena
  }

  async #start (contender) {
    const { candidate, server: module = candidate, load: clientScript = 'load.js', path, clients, build } = contender
    const server = new Child('server.js', [module, build])
    const load = new Child(clientScript)
    const port = await server.ask('port')
    if (clients) await load.ask('open', { port, path, count: clients })
    server.pause()
    this.#pairs.set(contender, { server, load, port })
  }

  /**
   * Lets a contender work while all others stand still.
   * @param work called with the server process, the client process and the port
   * @returns what `work` gives
   */
  async run (contender, work) {
    const pair = this.#pairs.get(contender)
    pair.server.resume()
    const result = await work(pair)
    pair.server.pause()
    return result
  }

  close () {
    for (const { server, load } of this.#pairs.values()) {
      server.stop()
      load.stop()
    }
  }
}
