declare const brand: unique symbol;

/** A nominal type: a `T` that went through the one function which may make a `Name`. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
