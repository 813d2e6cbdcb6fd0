use super::*;

#[test]
fn an_idle_session_is_small() {
    let session = std::mem::size_of::<Session>();
    assert!(session <= 1536, "session: {session} octets");
    let future = |session: Box<Session>, lifecycle: Lifecycle| run(session, lifecycle);
    let waiting = size_of_result(&future);
    assert!(waiting <= 1536, "task: {waiting} octets");
}

fn size_of_result<A, B, F>(_: &impl Fn(A, B) -> F) -> usize {
    std::mem::size_of::<F>()
}
