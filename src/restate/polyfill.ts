interface WithResolvers {
  withResolvers?: <Value>() => {
    promise: Promise<Value>
    resolve: (value: Value | PromiseLike<Value>) => void
    reject: (reason: unknown) => void
  }
}

/** Gives Node 20 what the library of the engine asks for, and Node has had since version 22. */
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
