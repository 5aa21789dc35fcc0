//! Properties that say on how many inputs they were tried.

/// `proptest!`, whose tests print their number of cases: `cargo xtask verify` shows it beside the name.
macro_rules! properties {
    (#![proptest_config($config:expr)] $($(#[$meta:meta])* fn $name:ident($($arg:pat in $strategy:expr),+ $(,)?) $body:block)+) => { $(
        $(#[$meta])*
        fn $name() {
            let tried = ::core::cell::Cell::new(0_u64);
            ::proptest::proptest!($config, |($($arg in $strategy),+)| {
                tried.set(tried.get() + 1);
                $body
            });
            ::std::println!("{} cases", tried.get());
        }
    )+ };
    ($($body:tt)+) => {
        properties! {
            #![proptest_config(::proptest::test_runner::Config::default())]
            $($body)+
        }
    };
}
pub(crate) use properties;
