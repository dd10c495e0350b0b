interface WithResolvers {
  withResolvers?: <Value>() => {
    promise: Promise<Value>
    resolve: (value: Value | PromiseLike<Value>) => void
    reject: (reason: unknown) => void
  }
}

/** Provides `Promise.withResolvers`, which the engine's library needs, on Node 20. Later versions have it built in. */
export function providePromiseResolvers(): void {
  const { Promise: target } = globalThis as unknown as { readonly Promise: PromiseConstructor & WithResolvers }
  target.withResolvers ??= function withResolvers<Value>() {
    let resolve!: (value: Value | PromiseLike<Value>) => void
    let reject!: (reason: unknown) => void
    const promise = new Promise<Value>((onResolve, onReject) => {
      resolve = onResolve
      reject = onReject
    })
    return { promise, resolve, reject }
  }
}
