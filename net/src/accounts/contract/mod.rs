//! What every account store must do: the same tests for all of them, a file for each part of the store.
//!
//! An implementation calls [`contract_tests!`] in its test module with an expression that makes an empty store.

pub(crate) mod credentials;
pub(crate) mod identity;
pub(crate) mod offline;
pub(crate) mod properties;
pub(crate) mod roster;

use cresset_core::ids::{LogIndex, RouteId};
use cresset_core::jid::NodePart;

pub(crate) use credentials::{add, credentials};
pub(crate) use offline::{claim, keep, message, quota};

/// Makes one test of each claim of the contract. `$store` makes an empty store and whatever must live as long as it.
macro_rules! contract_tests {
    ($store:expr) => {
        $crate::accounts::contract::contract_tests! { $store;
            credentials {
                keys_are_found_by_hash_until_the_account_is_removed,
                nobody_is_drawn_like_some_account_and_mostly_the_same,
                an_account_that_exists_is_not_added_again,
                keys_are_changed_only_where_there_is_an_account,
                many_accounts_are_added_at_once_and_taken_names_are_told,
                too_many_accounts_in_one_call_are_refused_whole,
                names_are_listed_in_pages,
                a_removed_account_leaves_nothing_to_its_successor,
            }
            roster {
                a_contact_is_put_in_changed_and_taken_out,
                a_full_roster_takes_no_further_contact,
                a_roster_is_bounded_by_its_bytes_and_read_in_parts,
            }
            offline {
                messages_come_oldest_first_in_bounded_batches,
                a_claim_is_bounded_in_bytes_and_hands_out_one_message_at_least,
                a_message_is_found_by_the_full_jid_to_which_it_was_sent,
                a_stanza_comes_out_as_it_went_in,
                a_full_offline_store_takes_no_further_message,
                what_waits_is_bounded_by_its_weight,
                nobody_fills_the_whole_store_of_another,
                a_message_is_kept_once_by_each_name,
                a_message_belongs_to_one_live_route,
                a_claim_of_a_route_that_the_view_cannot_know_is_respected,
                a_claim_of_a_route_of_another_log_is_not_respected,
                only_the_claimant_forgets_a_message,
            }
            identity {
                another_cluster_takes_the_place_of_a_lost_one_with_all_accounts,
                the_first_founder_founds_for_all,
                a_cluster_without_identity_is_not_formed,
                a_founder_is_replaced_until_the_cluster_is_formed_and_by_one_member_only,
                a_member_id_is_never_given_out_again,
                a_stamp_is_replaced_by_who_knows_the_last_one,
            }
            properties {
                a_property_is_set_changed_and_removed_and_every_change_is_remembered,
                changes_of_one_property_at_once_follow_each_other,
                only_so_many_changes_of_properties_are_remembered,
            }
        }
    };
    ($store:expr; $($part:ident { $($claim:ident,)* })*) => {
        $($(
            #[tokio::test]
            async fn $claim() {
                $crate::runtime::scope(0, async {
                    let (store, _lives_as_long) = $store;
                    $crate::accounts::contract::$part::$claim(&store).await;
                })
                .await;
            }
        )*)*
    };
}
pub(crate) use contract_tests;

/// A localpart.
pub(crate) fn name(text: &str) -> NodePart {
    text.parse().expect("a localpart")
}

/// The route that the entry `index` has bound.
pub(crate) fn route(index: u64) -> RouteId {
    RouteId { index: LogIndex(index), position: 0 }
}
