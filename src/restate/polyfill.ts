/** The client library of the engine asks for what Node has had since version 22; imported before it. */

interface WithResolvers {
  withResolvers?: <Value>() => {
    promise: Promise<Value>
    resolve: (value: Value | PromiseLike<Value>) => void
    reject: (reason: unknown) => void
  }
}

;(Promise as WithResolvers).withResolvers ??= function withResolvers<Value>() {
  let resolve!: (value: Value | PromiseLike<Value>) => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<Value>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}
