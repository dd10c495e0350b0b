/** Version of all of this; another one is refused. */
export const inspectorProtocol = 1
