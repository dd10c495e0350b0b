/** An answer that your system may give at once or as a promise. */
export type Awaitable<Value> = Value | PromiseLike<Value>
