/** What a system of yours may answer at once or with a promise. */
export type Awaitable<Value> = Value | PromiseLike<Value>
