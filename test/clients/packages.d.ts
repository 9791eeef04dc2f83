// launchdarkly-eventsource has no types. Those of reconnecting-eventsource describe its CommonJS files, which have another default export.

interface Source {
  readonly readyState: number
  close (): void
  addEventListener (name: string, listener: (event: object) => void): void
}

declare module 'launchdarkly-eventsource' {
  export const EventSource: new (url: string) => Source
}

declare module 'reconnecting-eventsource' {
  const Reconnecting: new (url: string, options: { eventSourceClass: new (url: string) => Source }) => Source
  export default Reconnecting
}
