import { createClient } from 'redis'

/** Knows when each user last signed out everywhere. Sessions that began before that time have ended. */
export interface SignOuts {
  /** Returns the time of a user's last sign-out, ms since 1970; 0 without one. */
  last (user: string): Promise<number>
  /** Ends all sessions of a user. */
  add (user: string): Promise<void>
}

/** Keeps sign-outs for one process until it ends. */
export function signOutsInMemory (): SignOuts {
  const times = new Map<string, number>()
  return {
    last: async (user) => times.get(user) ?? 0,
    add: async (user) => { times.set(user, Date.now()) }
  }
}

/** Keeps sign-outs in Redis, for all processes. Connects at the first call. */
export function signOutsInRedis (url: string, key: string): SignOuts & { close (): void } {
  const client = createClient({ url, disableOfflineQueue: true })
  // without a listener an error would end the process; the client reconnects, and commands reject meanwhile
  client.on('error', () => {})
  let connected: Promise<unknown> | undefined
  return {
    async last (user) {
      await (connected ??= client.connect())
      return Number(await client.hGet(key, user) ?? 0)
    },
    async add (user) {
      await (connected ??= client.connect())
      await client.hSet(key, user, Date.now())
    },
    close () {
      if (connected !== undefined) client.destroy()
    }
  }
}
