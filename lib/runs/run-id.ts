// Tested by test/runs/resumable.test.ts

/** Returns the event id of the event number `n` of a run. */
export function runEventId (run: string, n: number): string {
  return `${run}/${n}`
}

/** Returns the run and the number in the id of a run's event; null for any other id. */
export function parseRunEventId (id: string | null): { run: string, n: number } | null {
  const [, run, n] = /^([\w-]{20})\/(\d{1,15})$/.exec(id ?? '') ?? []
  return run === undefined ? null : { run, n: Number(n) }
}
